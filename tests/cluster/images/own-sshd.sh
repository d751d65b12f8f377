# An image that is reached by ssh already: its sshd and host keys, a full-screen program or two, and an odd login shell.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends openssh-server tmux vim-tiny htop >/dev/null
mkdir -p /run/sshd
sed -i 's/^#PermitRootLogin.*/PermitRootLogin yes/; s/^#PermitEmptyPasswords.*/PermitEmptyPasswords yes/; s/^UsePAM yes/UsePAM no/' /etc/ssh/sshd_config
passwd -d root >/dev/null
