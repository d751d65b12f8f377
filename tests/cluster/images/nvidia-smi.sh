# Busybox with a stand-in nvidia-smi: it prints what /tmp/kubectl-sky-gpus/NODE.{csv,list} on the node say.
mkdir -p "$1/bin" "$1/tmp" "$1/root"
cp /bin/busybox "$1/bin/"
for applet in $(/bin/busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
done
chmod 1777 "$1/tmp"
cat >"$1/bin/nvidia-smi" <<'SMI'
#!/bin/sh
said=/host/tmp/kubectl-sky-gpus/$NODE_NAME
case $1 in
  -L) cat "$said.list" 2>/dev/null ;;
  *) cat "$said.csv" 2>/dev/null || echo "Tesla T4, 15360 MiB" ;;
esac
SMI
chmod 755 "$1/bin/nvidia-smi"
