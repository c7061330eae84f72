"""One module a table: frozen rows and the few statements that touch them. All take the connection first."""
