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

// platform returns the system that the page runs on, if its users need their own instructions.
export function platform(agent = navigator.userAgent, touch = navigator.maxTouchPoints) {
	if (/iPhone|iPad|iPod/.test(agent) || (/Macintosh/.test(agent) && touch > 1)) {
		return "ios"; // an iPad claims to be a Mac
	}
	return /Android/.test(agent) ? "android" : "desktop";
}

// support returns whether this browser can ring: "subscribed", "ready", or the obstacle: "denied",
// "unsupported", "needs_install", "insecure".
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

// subscription returns the subscription of this browser for the key of the server. If fresh is set,
// it replaces an existing one.
async function subscription(fresh) {
	const { pushManager } = await register();
	const { public_key: key } = await call("GET", "/vapid");
	let have = await pushManager.getSubscription();
	if (have && (fresh || !sameKey(have.options.applicationServerKey, key))) {
		await have.unsubscribe();
		have = undefined;
	}
	try {
		have ??= await within(subscribeTimeout, pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
	} catch {
		throw new Problem(0, "no_push_service", navigator.brave ? texts.noPushInBrave[platform()] : texts.noPushService);
	}
	return have.toJSON();
}

// subscribeTimeout is in ms. Some browsers wait forever for a push service that cannot be reached.
const subscribeTimeout = 20_000;

function within(time, promise) {
	return Promise.race([promise, new Promise((_, reject) => { setTimeout(reject, time, new Error("timeout")); })]);
}

function sameKey(buffer, key) {
	const text = btoa(String.fromCharCode(...new Uint8Array(buffer)));
	return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "") === key;
}

// ring registers this browser as a device of that name. It must be called in a click, because
// browsers ask for permission only then. The server answers after one test push, which is shown. It
// throws a Problem.
export async function ring(name) {
	const answer = await Notification.requestPermission();
	if (answer !== "granted") {
		throw answer === "denied" ? new Problem(0, "denied", texts.denied) : new Problem(0, "dismissed", texts.dismissed);
	}
	return await post({ name });
}

// post registers the device. If the push service rejects the subscription as dead, it tries once
// with a new one.
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

// repairDevice renews the registration of this browser, even if its subscription or the device on
// the server was lost. If the user has just logged in, a device that the server does not know was
// removed and stays so. It returns the id of the device, or null if this browser is not to ring.
export function repairDevice(loggedIn) {
	const work = renew(loggedIn);
	if (loggedIn) {
		removed = work.catch(() => {});
	}
	return work;
}

let removed = Promise.resolve(); // settles once it is known whether the device was removed

async function renew(loggedIn) {
	const device = await storedDevice();
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
		await remember.forgetDevice(); // its mailboxes are gone, and it must not ring for others
		return null;
	}
	return (await post({ ...device, accounts })).id;
}

// patch sends the subscription of a known device to the server. If the push service rejects it as
// dead, or the device is suspect, it tries once with a new one.
async function patch({ id }) {
	const send = async (fresh) => {
		const device = await call("PATCH", `/devices/${id}`, { subscription: await subscription(fresh) });
		await remember.setDevice(device);
		return device;
	};
	try {
		const { status } = await send(false);
		if (["suspect", "unconfirmed"].includes(status.state)) {
			await send(true);
		}
	} catch (problem) {
		if (!isDead(problem)) {
			throw problem;
		}
		await send(true);
	}
}

// thisDevice returns the device that this browser is, if it belongs to the user, or undefined.
export async function thisDevice() {
	await removed;
	return await storedDevice();
}

async function storedDevice() {
	const device = await remember.device().catch(() => undefined);
	return device && device.user === session.user?.id ? device : undefined;
}

// stopRinging ends the subscription of this browser. The caller removes the device on the server.
export async function stopRinging() {
	await remember.forgetDevice();
	if ("serviceWorker" in navigator) {
		const registration = await navigator.serviceWorker.getRegistration();
		await (await registration?.pushManager?.getSubscription())?.unsubscribe();
	}
}

// closeStale closes the notifications of mail that was read elsewhere and of problems that are
// resolved, and sets the badge.
export async function closeStale() {
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
