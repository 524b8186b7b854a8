"""The stacks as one: previewed, updated and destroyed in order through Pulumi's Automation API."""
