"""The measured figures of the project's pages: how each one is measured, stored, and shown."""
