#!/bin/bash
# mirror.sh: prints where this machine takes Debian's packages from; another Debian is taken from the same place.

set -euo pipefail

command -v apt-get >/dev/null || { echo "mirror: this is not Debian" >&2; exit 1; }
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -n 1 || true)
echo "${mirror:-http://deb.debian.org/debian/}"
