#!/bin/sh
# Builds kube-apiserver from Debian's source package, with Debian's Go and the vendored modules: no network but apt's mirror.
# Usage: build.sh DIR. Leaves DIR/kube-apiserver (110 MB) and nothing else; the machine's own apt configuration is not touched.
set -eu
dir=$1
work=$dir/build
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/home"
cd "$work"

# the mirror that the machine is configured for
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
cat >src.sources <<SOURCES
Types: deb-src
URIs: $mirror
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
apt() {
    apt-get -qq -o APT::Sandbox::User=root -o Dir::Etc::sourcelist="$work/src.sources" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" "$@"
}
apt update
[ -d source ] || { apt source kubernetes && mv kubernetes-*/ source; }
cd source

# The vendored reflect2 1.0.1 reads maps as Go did before 1.18 and crashes with Debian's; the packaged one does not.
rm vendor/github.com/modern-go/reflect2/*.go vendor/github.com/modern-go/reflect2/*.s
cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.go /usr/share/gocode/src/github.com/modern-go/reflect2/*.s \
    vendor/github.com/modern-go/reflect2/

mkdir -p .go/src/k8s.io
[ -L .go/src/k8s.io/kubernetes ] || ln -s ../../.. .go/src/k8s.io/kubernetes
cat >"$work/version" <<VERSION
KUBE_GIT_COMMIT=x
KUBE_GIT_TREE_STATE=clean
KUBE_GIT_VERSION=v1.20.2
KUBE_GIT_MAJOR=1
KUBE_GIT_MINOR=20
VERSION
export GOPATH="$PWD/.go" GOCACHE="$work/go-cache" GOPROXY=off GOFLAGS= CGO_ENABLED=0 HOME="$work/home"
export PATH="/usr/lib/go/bin:$PATH" KUBE_GIT_VERSION_FILE="$work/version"
nice -n 19 make WHAT=cmd/kube-apiserver GOLDFLAGS='-s -w'

mv "$(find _output -type f -name kube-apiserver | head -n 1)" "$dir/kube-apiserver.new"
mv "$dir/kube-apiserver.new" "$dir/kube-apiserver"
cd "$dir"
chmod -R u+w build
rm -rf build
