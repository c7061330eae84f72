"""What runs in the intake child: one request from stdin, progress and one answer on stdout."""

from __future__ import annotations

import json
import os
import sys

from engine.intake.reader import serve


def main() -> int:
    """Read one request from stdin, answer on stdout: progress lines, then one summary or error."""
    request = json.loads(sys.stdin.readline())
    answers = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not break the conversation
    return serve(request, answers)


if __name__ == "__main__":
    sys.exit(main())
