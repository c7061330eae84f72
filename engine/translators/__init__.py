"""The models: a translator is an encoder and a decoder."""
