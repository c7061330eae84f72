"""The science: arrays and files in, arrays and files out. No web, scheduler or database."""
