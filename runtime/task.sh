#!/bin/sh
# task.sh: makes the image that tasks without an `image_id` run in, of a bare Debian bookworm. Runs as root in it.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# what nobody reads in a container
cat >/etc/dpkg/dpkg.cfg.d/no-docs <<'END'
path-exclude /usr/share/doc/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
END
apt-get -qq update
apt-get -qq install -y --no-install-recommends ca-certificates curl git less openssh-client procps python-is-python3 \
  python3 python3-pip python3-venv rsync sudo >/dev/null
# `pip install` in a task's setup is meant for all of the container: Debian's guard of its own packages is off
rm /usr/lib/python3.*/EXTERNALLY-MANAGED
pip install --quiet --root-user-action ignore --no-cache-dir --require-hashes --requirement "$(dirname "$0")/task.txt" \
  --trusted-host pypi.org --trusted-host files.pythonhosted.org
find /usr/lib/python3* /usr/local/lib/python3* -name __pycache__ -prune -exec rm -rf {} +
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /root/.cache /tmp/*
