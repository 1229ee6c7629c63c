// Files that a page made, given to the browser's downloads: they go to no server.

const FILE_MS = 60_000; // until then the browser has read it

/** Save a Blob under a name. */
export function saveAs(file, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), FILE_MS);
}
