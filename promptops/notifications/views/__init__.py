"""The pages: a person's inbox, and the webhooks in the settings of a project."""
