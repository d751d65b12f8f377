"""Why a task is not running, in words, with the next step."""
