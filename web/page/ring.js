import { all, call, Problem } from "./api.js";
import { session } from "./session.js";

const { remember, texts } = self;

let registered;

// register installs the service worker, once.
export function register() {
	registered ??= navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" }).then(() => navigator.serviceWorker.ready).catch((problem) => {
		registered = undefined;
		throw problem;
	});
	return registered;
}

// platform is what the page runs on, as far as people must do other things there.
export function platform(agent = navigator.userAgent, touch = navigator.maxTouchPoints) {
	if (/iPhone|iPad|iPod/.test(agent) || (/Macintosh/.test(agent) && touch > 1)) {
		return "ios"; // an iPad says that it is a Mac
	}
	return /Android/.test(agent) ? "android" : "desktop";
}

// support says whether this browser can ring: "subscribed", "ready", or what is in the way: "denied", "unsupported", "needs_install", "insecure".
export async function support() {
	if (!window.isSecureContext) {
		return "insecure";
	}
	const installed = matchMedia("(display-mode: standalone)").matches || navigator.standalone === true;
	if (platform() === "ios" && !installed) {
		return "needs_install";
	}
	if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) {
		return "unsupported";
	}
	if (Notification.permission === "denied") {
		return "denied";
	}
	return Notification.permission === "granted" && await thisDevice() ? "subscribed" : "ready";
}

// subscription is this browser's, made with the server's key; fresh: not the one that it has.
async function subscription(fresh) {
	const { pushManager } = await register();
	const { public_key: key } = await call("GET", "/vapid");
	let have = await pushManager.getSubscription();
	if (have && (fresh || !sameKey(have.options.applicationServerKey, key))) {
		await have.unsubscribe();
		have = undefined;
	}
	try {
		have ??= await within(patience, pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
	} catch {
		throw new Problem(0, "no_push_service", texts.noPushService);
	}
	return have.toJSON();
}

// patience is how long the browser's push service may take, in ms: some browsers wait for ever for one that cannot be reached.
const patience = 20_000;

function within(time, promise) {
	return Promise.race([promise, new Promise((_, reject) => { setTimeout(reject, time, new Error("it took too long")); })]);
}

function sameKey(buffer, key) {
	const text = btoa(String.fromCharCode(...new Uint8Array(buffer)));
	return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "") === key;
}

// ring has this browser ring as a device of that name. It must be called in a click: only then browsers ask for permission. The server answers after one
// push to it, which shows. It throws a Problem.
export async function ring(name) {
	const answer = await Notification.requestPermission();
	if (answer !== "granted") {
		throw answer === "denied" ? new Problem(0, "denied", texts.denied) : new Problem(0, "dismissed", texts.dismissed);
	}
	return await post({ name });
}

// post registers; a subscription of which the push service says that it is dead is replaced once.
async function post(device) {
	const body = { name: device.name, transport: "webpush", content: device.content, accounts: device.accounts };
	let made;
	try {
		made = await call("POST", "/devices", { ...body, subscription: await subscription(false) });
	} catch (problem) {
		if (!isDead(problem)) {
			throw problem;
		}
		made = await call("POST", "/devices", { ...body, subscription: await subscription(true) });
	}
	await remember.setDevice(made);
	return made;
}

function isDead(problem) {
	return problem.status === 422 && problem.fields?.some(({ field }) => field.startsWith("subscription"));
}

// heal has this browser ring as it did, whatever has become of its subscription or of what the server knows. Where somebody has just logged in, a device that the
// server does not know was removed, and that stays so. It gives the device's id; null: this browser is not to ring.
export function heal(loggedIn) {
	const work = repair(loggedIn);
	if (loggedIn) {
		removed = work.catch(() => {});
	}
	return work;
}

let removed = Promise.resolve(); // until it is known whether the device was, nobody is told that it rings

async function repair(loggedIn) {
	const device = await kept();
	if (!device || !("Notification" in window) || Notification.permission !== "granted") {
		return null;
	}
	try {
		await patch(device);
		return device.id;
	} catch (problem) {
		if (problem.status !== 404 && problem.status !== 409) {
			throw problem;
		}
		if (problem.status === 404 && loggedIn) {
			await remember.forgetDevice();
			return null;
		}
	}
	const seen = new Set((await all("/accounts")).map(({ id }) => id));
	const accounts = device.accounts?.filter((id) => seen.has(id));
	if (accounts?.length === 0) {
		await remember.forgetDevice(); // it was for some mailboxes only, and must not ring for all
		return null;
	}
	return (await post({ ...device, accounts })).id;
}

// patch tells the server the subscription of a device that it knows; one that is dead is replaced once.
async function patch({ id }) {
	const tell = async (fresh) => remember.setDevice(await call("PATCH", `/devices/${id}`, { subscription: await subscription(fresh) }));
	try {
		await tell(false);
	} catch (problem) {
		if (!isDead(problem)) {
			throw problem;
		}
		await tell(true);
	}
}

// thisDevice is the device of the one who is logged in that this browser is, as it was last known; undefined: none.
export async function thisDevice() {
	await removed;
	return await kept();
}

async function kept() {
	const device = await remember.device().catch(() => undefined);
	return device && device.user === session.user?.id ? device : undefined;
}

// forget has this browser ring no more; the server is to be told otherwise.
export async function forget() {
	await remember.forgetDevice();
	if ("serviceWorker" in navigator) {
		const registration = await navigator.serviceWorker.getRegistration();
		await (await registration?.pushManager?.getSubscription())?.unsubscribe();
	}
}

// sweep takes away the notifications of what was read elsewhere, or mended, and sets the badge.
export async function sweep() {
	if (!("serviceWorker" in navigator)) {
		return;
	}
	const registration = await navigator.serviceWorker.getRegistration();
	const shown = await registration?.getNotifications?.() ?? [];
	if (shown.length > 0) {
		const known = new Map((await call("GET", "/notifications?limit=200")).items.map((item) => [item.id, item]));
		for (const notification of shown) {
			const item = known.get(notification.tag) ?? await call("GET", `/notifications/${encodeURIComponent(notification.tag)}`).catch((problem) => problem);
			if (item.cleared || item.status === 404) {
				notification.close();
			}
		}
	}
	const device = await thisDevice();
	if (device && navigator.setAppBadge) {
		const mailboxes = (await all("/accounts")).filter(({ id }) => device.accounts?.includes(id) ?? true);
		await navigator.setAppBadge(mailboxes.reduce((sum, { status }) => sum + (status?.unread ?? 0), 0));
	}
}
