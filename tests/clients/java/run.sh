#!/usr/bin/env bash
# AWS's parser library and SDK for Java.
set -euo pipefail
cd "$(dirname "$0")"
command -v java >/dev/null && command -v mvn >/dev/null || { echo "there is no java or no mvn (Debian: default-jdk-headless maven)"; exit 77; }
jars=$CACHE/java-$(sha256sum pom.xml | cut -c1-12)
if [ ! -e "$jars/complete" ]; then
  rm -rf "$jars"
  mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DoutputDirectory="$jars"
  touch "$jars/complete"
fi
# Java 11 and later run a source file.
java -cp "$jars/*" Footage.java
