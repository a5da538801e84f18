// el creates an element. Attributes whose name begins with "on" are listeners. The value true sets
// an attribute without a value; false and undefined set none. Children are nodes or plain text,
// never HTML: the page shows text from strangers' mail.
export function el(tag, attributes = {}, ...children) {
	return fill(document.createElement(tag), attributes, children);
}

// svg creates an SVG element as el does.
export function svg(tag, attributes = {}, ...children) {
	return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith("on")) {
			node.addEventListener(name.slice(2), value);
		} else if (value === true) {
			node.setAttribute(name, "");
		} else if (value !== false && value !== undefined) {
			node.setAttribute(name, value);
		}
	}
	node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
	return node;
}

let fields = 0;

// field creates an input with its label, a hint and a place for its error. name is the name of the
// field in the API.
export function field(name, label, attributes = {}, hint = "") {
	const id = `field-${++fields}`;
	const input = attributes.options
		? el("select", { id, name }, attributes.options.map(([value, text]) => el("option", { value, selected: value === attributes.value }, text)))
		: el("input", { id, name, autocapitalize: "none", spellcheck: "false", ...attributes });
	input.setAttribute("aria-describedby", `${id}-hint ${id}-wrong`);
	return el("div", { class: "field" }, el("label", { for: id }, label), input,
		el("p", { class: "hint", id: `${id}-hint` }, hint), el("p", { class: "wrong", id: `${id}-wrong` }));
}

// tick creates a checkbox or radio button with its label and an explanation below.
export function tick(type, name, value, label, checked, more = "", attributes = {}) {
	const id = `field-${++fields}`;
	return el("div", { class: "tick" }, el("input", { type, name, value, id, checked, ...attributes }),
		el("label", { for: id }, label, more && el("span", { class: "hint" }, more)));
}

// part creates a part of a view that can be unfolded by its title.
export function part(title, attributes, ...node) {
	return el("details", attributes, el("summary", {}, title), node);
}

// button creates a button that runs act on a click and is disabled until act is done. An error is
// announced.
export function button(text, act, attributes = {}) {
	const b = el("button", { type: "button", ...attributes, onclick: async () => {
		b.disabled = true;
		try {
			await act();
		} catch (problem) {
			tell(problem.message);
		} finally {
			b.disabled = false;
		}
	} }, text);
	return b;
}

// form creates a form that calls send on submit. The faults of a Problem are shown at their fields,
// and the first of those gets the focus. Other errors are shown above the button.
export function form(submitText, send, ...children) {
	const wrong = el("p", { class: "wrong", role: "alert" });
	const submit = el("button", { class: "primary" }, submitText);
	const f = el("form", { novalidate: true, onsubmit: async (event) => {
		event.preventDefault();
		submit.disabled = true;
		show(f, wrong, undefined);
		try {
			await send(new FormData(f), submit);
		} catch (problem) {
			show(f, wrong, problem);
		} finally {
			submit.disabled = false;
		}
	} }, children, wrong, el("div", { class: "buttons" }, submit));
	return f;
}

function show(f, wrong, problem) {
	const fields = Object.fromEntries((problem?.fields ?? []).map((p) => [p.field.replace(/\[.*/, ""), p.message]));
	let first;
	for (const input of f.querySelectorAll("[name]")) {
		const place = document.getElementById(`${input.id}-wrong`);
		const message = fields[input.name] ?? "";
		if (!place) {
			continue;
		}
		place.textContent = message;
		input.toggleAttribute("aria-invalid", message !== "");
		if (message) {
			first ??= input;
			delete fields[input.name];
		}
	}
	const rest = Object.entries(fields).filter(([, message]) => message !== problem.message).map(([name, message]) => `${name}: ${message}`);
	wrong.textContent = problem && (!first || rest.length > 0) ? [problem.message, ...rest].join(" ") : "";
	first?.closest("details")?.setAttribute("open", "");
	first?.focus();
}

// tell announces a text to screen readers and shows it for 8 seconds.
export function tell(text) {
	const place = document.getElementById("status");
	place.textContent = text;
	clearTimeout(tell.timer);
	tell.timer = setTimeout(() => { place.textContent = ""; }, 8000);
}

// copyable returns a text with a button that copies it. before stands in front of it, attributes
// are those of the text.
export function copyable(text, before = "", attributes = {}) {
	const { texts } = self;
	return el("p", { class: "copy" }, before, el("code", attributes, text), button(texts.copy, async () => {
		await navigator.clipboard.writeText(text);
		tell(texts.copied);
	}));
}

// leaveView closes the question of the view that the user leaves: the answer is no. It removes the
// message, too, unless keep is set.
export function leaveView(keep) {
	document.querySelector("dialog")?.close("no");
	if (!keep) {
		document.getElementById("status").textContent = "";
	}
}

// confirmed asks the user before an action that cannot be undone, and resolves to the answer.
export function confirmed(question, yes, no) {
	return new Promise((resolve) => {
		const dialog = el("dialog", { "aria-label": question, onclose: () => { resolve(dialog.returnValue === "yes"); dialog.remove(); } },
			el("p", {}, question),
			el("form", { method: "dialog", class: "buttons" }, el("button", { value: "no" }, no), el("button", { value: "yes", class: "danger" }, yes)));
		document.body.append(dialog);
		dialog.showModal();
	});
}
