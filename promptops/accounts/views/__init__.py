"""The pages of people and projects, a module by concern."""
