"""Every setting of a run: frozen dataclasses and their YAML text."""
