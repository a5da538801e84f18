import { reason } from "./reason.js";
import { heard, silent } from "./silence.js";

const { isProxyError, texts } = self;

// Problem is an error of a request, or of getting no answer. message is a sentence for people,
// fields holds the faults by field, params the parameters of the code, and certificate that of a
// mail server which the user can trust.
export class Problem extends Error {
	constructor(status, code, message, { fields = [], params = {}, certificate } = {}) {
		super(message);
		Object.assign(this, { status, code, fields, params, certificate });
	}
}

let onUnauthorized = () => {};

// whenUnauthorized sets the function to call when the session has ended.
export function whenUnauthorized(act) {
	onUnauthorized = act;
}

// call sends a request below /api/v1 and returns the answer, or undefined if it is empty. It throws
// a Problem.
export async function call(method, path, body) {
	let response;
	try {
		response = await fetch(`/api/v1${path}`, {
			method,
			headers: body === undefined ? {} : { "Content-Type": "application/json" },
			body: body === undefined ? undefined : JSON.stringify(body),
		});
	} catch {
		silent();
		throw new Problem(0, "offline", texts.offline);
	}
	const text = await response.text();
	let answer;
	let unreadable = false;
	try {
		answer = text === "" ? undefined : JSON.parse(text);
	} catch {
		unreadable = true;
	}
	isProxyError(response.status) && !answer?.code ? silent() : heard();
	if (unreadable) {
		throw isProxyError(response.status) ? new Problem(response.status, "offline", texts.offline) : new Problem(response.status, "unreadable", texts.unreadable);
	}
	if (response.ok) {
		return answer;
	}
	if (response.status === 401 && answer?.code === "unauthorized") {
		onUnauthorized();
	}
	const detail = answer?.detail ?? texts.unreadable;
	const message = texts.stateReason(reason(answer ?? {}, detail));
	const fields = answer?.errors?.map((error) => ({ ...error, message: texts.stateReason(reason(error, error.message)) }));
	throw new Problem(response.status, answer?.code, message, { fields, params: answer?.params, certificate: answer?.certificate });
}

// all returns every item of a list, which the API returns in pages.
export async function all(path) {
	const items = [];
	for (let after = ""; ;) {
		const list = await call("GET", `${path}?limit=200${after && `&after=${encodeURIComponent(after)}`}`);
		items.push(...list.items);
		if (!list.next) {
			return items;
		}
		after = list.next;
	}
}
