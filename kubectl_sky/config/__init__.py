"""The configuration of tasks: SkyPilot's files, the task's own `config:`, --config; and where each value is from."""
