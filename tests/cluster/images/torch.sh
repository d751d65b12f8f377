# PyTorch without GPUs, as Debian has it, and Ray: for the tests that are marked heavy.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends python3-torch python3-pip >/dev/null
# its torchrun is older than Python 3.11, where flags without a bit are left out of an iteration
sed -i 's/for s in Std:/for s in (Std.NONE, *Std):/' \
  /usr/lib/python3/dist-packages/torch/distributed/elastic/multiprocessing/api.py
[ ! -e /build/ca.pem ] || export PIP_CERT=/build/ca.pem
pip install -q --break-system-packages --no-cache-dir ray
