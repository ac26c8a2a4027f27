"""The folder that Ansible is pointed to: a plugin of Ansible has its own name as the name of its file."""
