# C++ for old systems: its library has to be as old as they are, so that the whole
# image is. RHEL 8's family has glibc 2.28, and a gcc that is newer than its
# libstdc++, whose newer parts it links in statically. Bases of Debian's family do
# as well, with the compiler that they have.
ARG BASE=almalinux:8
# The runtime image: the proxy with the libraries that it was built with, which
# looks at what is built here.
ARG SIDEGATE=sidegate
FROM ${SIDEGATE} AS sidegate

FROM ${BASE}
RUN set -e; \
    if command -v dnf >/dev/null; then \
        dnf install -y gcc-toolset-13-gcc-c++ git python3; dnf clean all; \
        run='scl enable gcc-toolset-13 -- build-module'; \
    else \
        lacks=; for tool in g++ git python3; do command -v $tool >/dev/null || lacks=yes; done; \
        if [ -n "$lacks" ]; then apt-get update; apt-get install -y --no-install-recommends g++ git python3; rm -rf /var/lib/apt/lists/*; fi; \
        run=build-module; \
    fi; \
    printf '#!/bin/sh\nexec %s "$@"\n' "$run" >/usr/local/bin/build-module-cxx; chmod 755 /usr/local/bin/build-module-cxx
COPY --from=sidegate / /opt/sidegate/
RUN set -e; cd /opt/sidegate; \
    printf '#!/bin/sh\nexec %s --library-path %s /opt/sidegate/usr/bin/sidegate "$@"\n' \
        "$(ls -d $PWD/lib*/ld-linux-*)" "$(dirname $PWD/lib/*/libc.so.6)" >/usr/local/bin/sidegate; \
    chmod 755 /usr/local/bin/sidegate; sidegate --version
COPY include/ /usr/local/include/
COPY build.sh /usr/local/bin/build-module
ENV HOME=/tmp
ENTRYPOINT ["build-module-cxx"]
