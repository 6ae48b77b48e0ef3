#!/bin/sh
# Is there a GPU, does its driver work, does torch compute on it? Says what to do at the first thing that is wrong.
venv="$HOME/headstart-venv"
say() { printf '%-12s %s\n' "$1" "$2"; }
wrong() { say "$1" "$2"; say "to fix" "$3"; exit 1; }

if command -v lspci >/dev/null 2>&1; then
    card=$(lspci | grep -iE 'vga|3d|display' | grep -i nvidia | head -n 1)
    [ -n "$card" ] || wrong "card" "no NVIDIA card on the PCI bus" "rent an instance with one (EC2: g5, g6, p4), or seat the card anew; headstart works without"
    say "card" "${card#*: }"
fi
if lsmod 2>/dev/null | grep -q '^nouveau'; then
    wrong "driver" "nouveau is loaded, which cannot compute" "echo 'blacklist nouveau' | sudo tee /etc/modprobe.d/nouveau.conf; sudo update-initramfs -u; sudo reboot"
fi
command -v nvidia-smi >/dev/null 2>&1 ||
    wrong "driver" "nvidia-smi is not installed" "Ubuntu: sudo ubuntu-drivers install --gpgpu; Debian: sudo apt-get install nvidia-driver; then reboot"
smi=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1) ||
    wrong "driver" "$smi" "kernel and driver do not match, as after an update: sudo reboot; if it stays: reinstall the driver"
say "GPU" "$smi"
cuda=$(nvidia-smi | sed -n 's/.*CUDA Version: *\([0-9.]*\).*/\1/p')
say "CUDA" "the driver understands up to ${cuda:-?}"
[ -x "$venv/bin/python" ] || wrong "torch" "no $venv" "run setup.sh first"
"$venv/bin/python" - <<'PYTHON'
import sys
try:
    import torch
except ImportError as error:
    sys.exit(f"torch        {error}\nto fix       run setup.sh")
print(f"torch        {torch.__version__}, built for CUDA {torch.version.cuda}")
if torch.version.cuda is None:
    sys.exit("to fix       this torch has no CUDA: pip install --upgrade --force-reinstall torch")
if not torch.cuda.is_available():
    sys.exit("to fix       the driver is older than torch's CUDA: update the driver, or pip install torch --index-url https://download.pytorch.org/whl/cu126")
a = torch.randn(2048, 2048, device="cuda")
wrong = (a @ a).cpu().sub(a.cpu() @ a.cpu()).abs().max().item()
print(f"computes     2048 x 2048 on {torch.cuda.get_device_name()}, {wrong:.1e} from the CPU's answer")
sys.exit(0 if wrong < 1 else "to fix       the card computes wrongly: test its memory, cool it, or return it")
PYTHON
