// el makes an element. Attributes that begin with "on" are listeners; true stands for an attribute without a value, false and undefined for none.
// Children are nodes, or text that stays text: what strangers wrote in a mail is shown here.
export function el(tag, attributes = {}, ...children) {
	return fill(document.createElement(tag), attributes, children);
}

// svg is el for drawings.
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

// field is an input with its label, a hint and a place for what is wrong with it; name is the field's in the API.
export function field(name, label, attributes = {}, hint = "") {
	const id = `field-${++fields}`;
	const input = attributes.options
		? el("select", { id, name }, attributes.options.map(([value, text]) => el("option", { value, selected: value === attributes.value }, text)))
		: el("input", { id, name, autocapitalize: "none", spellcheck: "false", ...attributes });
	input.setAttribute("aria-describedby", `${id}-hint ${id}-wrong`);
	return el("div", { class: "field" }, el("label", { for: id }, label), input,
		el("p", { class: "hint", id: `${id}-hint` }, hint), el("p", { class: "wrong", id: `${id}-wrong` }));
}

// tick is a checkbox or radio button with its label and, below, more about it.
export function tick(type, name, value, label, checked, more = "", attributes = {}) {
	const id = `field-${++fields}`;
	return el("div", { class: "tick" }, el("input", { type, name, value, id, checked, ...attributes }),
		el("label", { for: id }, label, more && el("span", { class: "hint" }, more)));
}

// button runs act at a click and cannot be clicked again until that is done; what goes wrong is told.
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

// form sends its values at submit. What a Problem says of a field is shown at that field, which gets the focus; anything else above the button.
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
		const said = fields[input.name] ?? "";
		if (!place) {
			continue;
		}
		place.textContent = said;
		input.toggleAttribute("aria-invalid", said !== "");
		if (said) {
			first ??= input;
			delete fields[input.name];
		}
	}
	const rest = Object.entries(fields).map(([name, message]) => `${name}: ${message}`);
	wrong.textContent = problem && (!first || rest.length > 0) ? [problem.message, ...rest].join(" ") : "";
	first?.closest("details")?.setAttribute("open", "");
	first?.focus();
}

// tell says something in the place that screen readers listen to, and takes it away after some seconds.
export function tell(text) {
	const place = document.getElementById("status");
	place.textContent = text;
	clearTimeout(tell.timer);
	tell.timer = setTimeout(() => { place.textContent = ""; }, 8000);
}

// confirmed asks before something cannot be undone.
export function confirmed(question, yes, no) {
	return new Promise((resolve) => {
		const dialog = el("dialog", { "aria-label": question, onclose: () => { resolve(dialog.returnValue === "yes"); dialog.remove(); } },
			el("p", {}, question),
			el("form", { method: "dialog", class: "buttons" }, el("button", { value: "no" }, no), el("button", { value: "yes", class: "danger" }, yes)));
		document.body.append(dialog);
		dialog.showModal();
	});
}
