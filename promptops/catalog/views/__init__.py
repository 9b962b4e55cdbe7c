"""The pages of models and credentials, a module by concern."""
