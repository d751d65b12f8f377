# The tests' default image: the whole of Python, with pip and venv.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends python3 python3-pip python3-venv >/dev/null
