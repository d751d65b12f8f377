# PyTorch without GPUs, as Debian has it, and Ray: for the tests that are marked heavy.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends python3-torch python3-pip >/dev/null
pip install -q --break-system-packages --no-cache-dir ray
