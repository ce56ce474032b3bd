// Package design holds how the website looks: the style sheet, the icon and the small script that the pages of the dashboard and the
// reference share. They can be on different listeners, so each package serves the files below its own path.
package design

import "embed"

// Files are the files by name.
//
//go:embed style.css icon.svg site.js
var Files embed.FS
