# The images for both architectures, from a clean checkout:
#   VERSION=0.1.0 REVISION=$(git rev-parse HEAD) SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) \
#     docker buildx bake -f docker/bake.hcl --push
# With the same base images and packages, the same sources make the same images: dates of files are SOURCE_DATE_EPOCH's,
# and only then the images say a date. Tags follow from the version alone: 0.1.0, 0.1, latest. `docker buildx bake local`
# builds for this machine alone and loads what it has built.
# No registry has them yet.
variable "REGISTRY" { default = "registry.example.org/shoebox" }
variable "VERSION" { default = "unknown" }
variable "REVISION" { default = "unknown" }
variable "SOURCE" { default = "unknown" }
variable "SOURCE_DATE_EPOCH" { default = "" }

function "tags" {
  params = [name]
  result = VERSION == "unknown" ? ["${name}:latest"] : [
    "${REGISTRY}/${name}:${VERSION}",
    "${REGISTRY}/${name}:${join(".", slice(split(".", VERSION), 0, 2))}",
    "${REGISTRY}/${name}:latest",
  ]
}

group "default" { targets = ["shoebox", "samba"] }
group "local" { targets = ["shoebox-local", "sim-local", "samba-local"] }

target "common" {
  context    = "."
  dockerfile = "Dockerfile"
  args = {
    VERSION           = VERSION
    REVISION          = REVISION
    SOURCE            = SOURCE
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH == "" ? null : SOURCE_DATE_EPOCH
  }
  labels = {
    "org.opencontainers.image.created" = SOURCE_DATE_EPOCH == "" ? null : timeadd("1970-01-01T00:00:00Z", "${SOURCE_DATE_EPOCH}s")
  }
}

target "published" {
  inherits  = ["common"]
  platforms = ["linux/amd64", "linux/arm64"]
  output    = ["type=image,rewrite-timestamp=${SOURCE_DATE_EPOCH == "" ? "false" : "true"}"]
  # It would tell when the build ran.
  attest = ["type=provenance,disabled=true"]
}

target "shoebox" {
  inherits = ["published"]
  target   = "shoebox"
  tags     = tags("shoebox")
}

target "samba" {
  inherits = ["published"]
  target   = "samba"
  tags     = tags("shoebox-samba")
}

target "shoebox-local" {
  inherits = ["common"]
  target   = "shoebox"
  tags     = ["shoebox:latest"]
  output   = ["type=docker"]
}

target "sim-local" {
  inherits = ["common"]
  target   = "sim"
  tags     = ["shoebox-sim:latest"]
  output   = ["type=docker"]
}

target "samba-local" {
  inherits = ["common"]
  target   = "samba"
  tags     = ["shoebox-samba:latest"]
  output   = ["type=docker"]
}
