"""What a task file says: text, table of fields, rules, and all problems with their places."""
