# What the setup of examples/mpi.yaml installs: pods of the test cluster have no internet. No ssh client.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends openmpi-bin >/dev/null
