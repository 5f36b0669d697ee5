# C++ for old systems: its library has to be as old as they are, so that the whole
# image is. RHEL 8's family has glibc 2.28, and a gcc that is newer than its
# libstdc++, whose newer parts it links in statically.
ARG BASE=almalinux:8
FROM ${BASE}
RUN dnf install -y gcc-toolset-13-gcc-c++ git python3 && dnf clean all
COPY sidegate /usr/local/bin/sidegate
COPY include/ /usr/local/include/
COPY build.sh /usr/local/bin/build-module
ENV HOME=/tmp
ENTRYPOINT ["scl", "enable", "gcc-toolset-13", "--", "build-module"]
