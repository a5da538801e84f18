import { svg } from "./dom.js";

// qr draws rows of "0" and "1" as a QR code. It is dark on light in a dark theme too, with the
// quiet zone that readers need.
export function qr(rows, label) {
	const size = rows.length + 8;
	const dark = rows.flatMap((row, y) => [...row.matchAll(/1+/g)].map((run) => `M${run.index + 4} ${y + 4}h${run[0].length}v1h-${run[0].length}z`));
	return svg("svg", { class: "qr", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": label, "shape-rendering": "crispEdges" },
		svg("rect", { width: size, height: size, fill: "#fff" }), svg("path", { d: dark.join(""), fill: "#000" }));
}
