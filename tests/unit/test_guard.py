"""Which web addresses are refused before anything connects: every attack of the list by its name."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from storage.errors import BadUri, FetchRefused, Unreachable
from storage.guard import WebRules, checked, parse_url, redirected, why_not

RULES = WebRules(plain_http=True)

REFUSED_TEXT = {
    "other_scheme_file": "file:///etc/passwd",
    "other_scheme_gopher": "gopher://files.lab/x",
    "other_scheme_ftp": "ftp://files.lab/x",
    "no_scheme": "files.lab/x",
    "user_name": "https://user@files.lab/x",
    "user_and_password": "https://user:secret@files.lab/x",
    "host_hidden_behind_userinfo": "https://files.lab@127.0.0.1/x",
    "decimal_ip": "https://2130706433/x",
    "hex_ip": "https://0x7f000001/x",
    "octal_ip": "https://0177.0.0.1/x",
    "mixed_ip": "https://0x7f.1/x",
    "short_ip": "https://127.1/x",
    "leading_zeros": "https://127.000.000.001/x",
    "number_with_a_dot_behind": "https://2130706433./x",
    "wide_digits": "https://１２７.０.０.１/x",
    "circled_digits": "https://①②⑦.0.0.1/x",
    "percent_encoded_host": "https://%31%32%37.0.0.1/x",
    "backslash": "https://files.lab\\@127.0.0.1/x",
    "line_break": "https://files.lab/x\r\nHost: 127.0.0.1",
    "tab_in_host": "https://files\t.lab/x",
    "space": "https://files.lab /x",
    "nul": "https://files.lab/\0",
    "empty_host": "https:///x",
    "empty_label": "https://files..lab/x",
    "bad_brackets": "https://[::1/x",
    "scope_id": "https://[fe80::1%25eth0]/x",
    "no_port_number": "https://files.lab:port/x",
    "port_too_large": "https://files.lab:65536/x",
    "too_long": "https://files.lab/" + "x" * 5_000,
}

NOT_PUBLIC = {
    "private_10": "10.0.0.1",
    "private_172": "172.16.0.1",
    "private_192": "192.168.1.1",
    "loopback": "127.0.0.1",
    "loopback_elsewhere": "127.8.8.8",
    "unspecified": "0.0.0.0",
    "this_network": "0.1.2.3",
    "link_local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "metadata_of_azure": "168.63.129.16",
    "metadata_of_oracle": "192.0.0.192",
    "cgnat": "100.64.0.1",
    "metadata_in_cgnat": "100.100.100.200",
    "benchmark_network": "198.18.0.1",
    "documentation": "192.0.2.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6_unspecified": "::",
    "v6_loopback": "::1",
    "v6_mapped_loopback": "::ffff:127.0.0.1",
    "v6_mapped_public": "::ffff:8.8.8.8",
    "v6_compatible": "::127.0.0.1",
    "v6_nat64": "64:ff9b::7f00:1",
    "v6_local_nat64": "64:ff9b:1::7f00:1",
    "v6_6to4": "2002:7f00:1::",
    "v6_teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "v6_unique_local": "fd00::1",
    "v6_metadata_of_aws": "fd00:ec2::254",
    "v6_link_local": "fe80::1",
    "v6_link_local_with_scope": "fe80::1%eth0",
    "v6_site_local": "fec0::1",
    "v6_multicast": "ff02::1",
    "v6_documentation": "2001:db8::1",
    "v6_not_handed_out": "4000::1",
}


@pytest.mark.parametrize("attack", REFUSED_TEXT)
def test_an_address_that_libraries_could_read_differently_is_refused(attack: str) -> None:
    with pytest.raises(BadUri) as refusal:
        parse_url(REFUSED_TEXT[attack], RULES)
    assert refusal.value.hint
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("attack", NOT_PUBLIC)
def test_a_name_that_leads_inside_is_refused(attack: str) -> None:
    with pytest.raises(FetchRefused, match=r"files\.lab leads to an address that may not be reached"):
        checked("files.lab", 443, RULES, lambda host, port: [(NOT_PUBLIC[attack], port)])


@pytest.mark.parametrize("attack", [name for name, address in NOT_PUBLIC.items() if "%" not in address])
def test_the_same_address_written_out_is_refused(attack: str) -> None:
    address = NOT_PUBLIC[attack]
    host = parse_url(f"https://[{address}]/" if ":" in address else f"https://{address}/", RULES).host
    with pytest.raises(FetchRefused):
        checked(host, 443, RULES, lambda host, port: pytest.fail("a number is looked up"))


def test_one_private_address_among_several_refuses_them_all() -> None:
    answers = [("93.184.215.14", 443), ("10.0.0.1", 443)]
    with pytest.raises(FetchRefused, match="private"):
        checked("files.lab", 443, RULES, lambda host, port: answers)


def test_a_public_name_gives_the_addresses_that_were_judged() -> None:
    answers = [("93.184.215.14", 443), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443)]
    assert checked("files.lab", 443, RULES, lambda host, port: answers) == answers


def test_a_name_without_an_address_is_unreachable() -> None:
    def resolve(host: str, port: int) -> list[tuple[str, int]]:
        raise OSError("no such name")

    with pytest.raises(Unreachable, match=r"no host files\.lab"):
        checked("files.lab", 443, RULES, resolve)


def test_what_the_operator_names_may_be_private_but_never_metadata() -> None:
    rules = WebRules(hosts=frozenset({"files.lab"}), networks=(ip_network("10.1.0.0/16"),))
    assert checked("files.lab", 443, rules, lambda host, port: [("192.168.0.9", port)])
    assert checked("other.lab", 443, rules, lambda host, port: [("10.1.2.3", port)])
    for host, address in (("other.lab", "10.2.0.1"), ("files.lab", "169.254.169.254"), ("files.lab", "224.0.0.1")):
        with pytest.raises(FetchRefused):
            checked(host, 443, rules, lambda host, port, address=address: [(address, port)])  # type: ignore[misc]


def test_an_allowed_nat64_network_still_hides_no_private_address() -> None:
    rules = WebRules(networks=(ip_network("64:ff9b::/96"),))
    assert why_not("64:ff9b::808:808", rules) == ""
    assert why_not("64:ff9b::a00:1", rules) == "private"


def test_http_ports_and_the_whole_web_are_the_operators_choice() -> None:
    for url, rules in (
        ("http://files.lab/x", WebRules()),
        ("https://files.lab:8443/x", WebRules()),
        ("https://files.lab:22/x", RULES),
        ("https://files.lab/x", WebRules(on=False)),
    ):
        with pytest.raises(FetchRefused, match=r".+") as refusal:
            parse_url(url, rules)
        assert "CROSSVIEW_FETCH" in refusal.value.hint
    assert parse_url("https://files.lab:8443/x", WebRules(ports=frozenset({8443}))).authority == "files.lab:8443"


def test_a_redirect_is_judged_like_the_first_address() -> None:
    here = parse_url("https://files.lab/a/b?key=1", RULES)
    assert redirected(here, "../c", RULES).url == "https://files.lab/c"
    assert redirected(here, "//other.lab/d", RULES).url == "https://other.lab/d"
    with pytest.raises(FetchRefused, match="not encrypted"):
        redirected(here, "http://files.lab/c", RULES)
    with pytest.raises(BadUri):
        redirected(here, "file:///etc/passwd", RULES)


def test_an_address_is_shown_without_its_query_and_never_gives_a_path() -> None:
    place = parse_url("HTTPS://Files.Lab./data/../my%20cells.h5ad?signature=secret#top", RULES)
    assert str(place) == "https://files.lab/data/../my%20cells.h5ad"
    assert (place.name, place.target) == ("my cells.h5ad", "/data/../my%20cells.h5ad?signature=secret")
    assert parse_url("https://files.lab/%2e%2e%2fetc%2fpasswd", RULES).name == "passwd"
