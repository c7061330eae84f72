"""Our own model: every feature read through a first layer with heavy dropout, and heads of low rank."""
