"""The pages of prompts, a module a concern. Each view parses, calls a service or selector, and renders."""
