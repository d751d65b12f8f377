# The same for a user that is not root; its USER, HOME, ENV and WORKDIR are in recipes.py.
useradd --uid 1001 --create-home --shell /bin/bash app
