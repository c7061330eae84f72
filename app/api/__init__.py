"""The REST interface: plain Starlette routes over a Client, one resource a file."""

from __future__ import annotations

from app.api.application import create_app, create_routes

__all__ = ["create_app", "create_routes"]
