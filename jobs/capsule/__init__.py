"""A finished result as something that anyone can check: what went in, what came out, and how to do it again."""
