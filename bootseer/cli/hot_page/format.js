// Sizes, places and names of image layers as text.

/** A size that is a power of two. */
function binary(size) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (size < 1024) return `${size} ${unit}`;
    size /= 1024;
  }
  return `${size} GiB`;
}

/** A place in something large, fine enough to tell neighbours apart. */
const offset = (at) => (at < 1e6 ? `${(at / 1e3).toFixed(1)} kB` : `${(at / 1e6).toFixed(2)} MB`);

const shortDigest = (digest) => digest.replace("sha256:", "").slice(0, 12);

/** A path, its last part set off. */
function pathParts(path) {
  const shown = visible(path);
  const cut = shown.lastIndexOf("/") + 1;
  return [shown.slice(0, cut), el("b", {}, shown.slice(cut))];
}

/** What a layer is called here. */
const layerName = (layer) =>
  layer.position === null ? `no layer of this image, ${shortDigest(layer.digest)}` : `Layer ${layer.position}`;
