// The service worker shows every push, and the offline page. It caches nothing else.
importScripts("/texts.js", "/remember.js", "/receipts.js", "/proxy.js");

const offline = ["/offline.html", "/offline.js", "/silence.js", "/age.js", "/dom.js", "/texts.js", "/proxy.js", "/style.css", "/icon.svg"];

self.addEventListener("install", (event) => {
	event.waitUntil(caches.open("offline").then((cache) => cache.addAll(offline.map((path) => new Request(path, { cache: "reload" })))).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
	const { pathname } = new URL(event.request.url);
	if (event.request.mode === "navigate") {
		event.respondWith(fetchOr("/offline.html", event.request));
	} else if (offline.includes(pathname)) {
		event.respondWith(fetchOr(pathname, event.request));
	}
});

// fetchOr returns the answer of the server. Without one, or if a proxy says that it cannot reach
// the server, it returns the kept file.
async function fetchOr(kept, request) {
	try {
		const response = await fetch(request);
		return isProxyError(response.status) ? await caches.match(kept) ?? response : response;
	} catch {
		return await caches.match(kept) ?? Response.error();
	}
}

self.addEventListener("push", (event) => {
	const received = new Date();
	event.waitUntil(show(event.data).then((receipt) => receipts.report(receipt, { received, shown: new Date() })));
});

self.addEventListener("notificationclick", (event) => {
	event.notification.close();
	const { data } = event.notification;
	if (event.action === "mute") {
		event.waitUntil(mute(data));
		return;
	}
	event.waitUntil(Promise.allSettled([opened(target(data, self.location.origin)).then(go), receipts.report(data?.receipt, { opened: new Date() })]));
});

self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event.newSubscription)));

// read returns the content of a push: a notification to show, ids to close, and the badge. There is
// always something to show, because browsers end the subscription of a page that shows nothing.
function read(text) {
	let message;
	try {
		message = JSON.parse(text);
	} catch {
		message = undefined;
	}
	const shown = message?.notification ?? {};
	const own = message?.idlepush ?? {};
	const tag = shown.tag ?? own.id;
	const unread = own.unread ?? shown.app_badge;
	return {
		title: shown.title || own.title || texts.somethingArrived,
		options: {
			body: shown.body ?? own.body ?? (message ? "" : texts.openToSee),
			tag: typeof tag === "string" ? tag : "idlepush",
			timestamp: Date.parse(own.at) || Date.now(),
			icon: "/icon-192.png",
			badge: "/badge-96.png",
			silent: shown.silent === true,
			actions: own.kind === "mail" && own.account ? [{ action: "open", title: texts.openAction }, { action: "mute", title: texts.muteAction }] : [],
			data: { id: own.id, kind: own.kind, code: own.code, account: own.account, navigate: shown.navigate, receipt: own.receipt, unread },
		},
		clear: Array.isArray(own.clear) ? own.clear : [],
		unread: Number.isInteger(unread) ? unread : undefined,
	};
}

// show shows a push, and returns the path of its receipt.
async function show(data) {
	const { title, options, clear, unread } = read(data?.text());
	// A push that was sent twice replaces the first notification, and does not ring again even if
	// that was dismissed.
	const again = options.data.id !== undefined && await remember.addShown(options.tag).catch(() => false);
	options.silent ||= again;
	await self.registration.showNotification(title, options);
	for (const notification of await self.registration.getNotifications()) {
		if (clear.includes(notification.tag) && notification.tag !== options.tag) {
			notification.close();
		}
	}
	if (unread !== undefined) {
		await self.navigator.setAppBadge?.(unread).catch(() => {});
	}
	return options.data.receipt;
}

// mute has a mailbox not ring on this device for an hour, or on all devices of the person if this
// one is not known. It says so if that fails.
async function mute({ account }) {
	const until = new Date(Date.now() + 3_600_000).toISOString();
	try {
		const device = (await remember.device())?.id;
		const { ok } = await fetch(`/api/v1/accounts/${encodeURIComponent(account)}/mutes`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ of: "mailbox", device, until }) });
		if (ok) {
			return;
		}
	} catch {
		// The notification below says so.
	}
	await self.registration.showNotification(texts.muteFailed, { tag: "mute", silent: true, icon: "/icon-192.png", badge: "/badge-96.png" });
}

// target returns the address that a click opens. A service worker can open only web addresses; for
// others the page has a link.
function target(data, origin) {
	const { kind, code, id, account } = data ?? {};
	const [view, about] = kind === "mail" ? ["open", id] : code === "share_ended" ? ["add", id] : kind === "attention" ? ["attention", account] : [];
	const page = about ? `${origin}/#/${view}/${encodeURIComponent(about)}` : `${origin}/#/`;
	try {
		const { protocol, href } = new URL(data?.navigate ?? page);
		return protocol === "https:" || protocol === "http:" ? href : page;
	} catch {
		return page;
	}
}

// opened returns the address that is opened for the address of a click. If somebody else chose the
// link of the mail, that is the page, which asks once for each host.
async function opened(address) {
	const [, id] = /^#\/open\/(.+)$/.exec(new URL(address).hash) ?? [];
	if (!id || new URL(address).origin !== self.location.origin) {
		return address;
	}
	try {
		const { link } = await (await fetch(`/api/v1/notifications/${id}`, { signal: AbortSignal.timeout(linkTimeout) })).json();
		return /^https?:/.test(link) && await remember.allows(link) ? link : address;
	} catch {
		return address;
	}
}

// linkTimeout is in ms. Browsers let a click open a window only for a few seconds.
const linkTimeout = 2000;

async function go(address) {
	if (new URL(address).origin === self.location.origin) {
		for (const client of await self.clients.matchAll({ type: "window", includeUncontrolled: true })) {
			if (new URL(client.url).pathname === "/") {
				client.postMessage({ go: new URL(address).hash });
				return client.focus();
			}
		}
	}
	return self.clients.openWindow(address);
}

// renew sends a subscription that the browser has replaced to the server. If it fails, the page
// does so when it is opened.
async function renew(subscription) {
	const device = await remember.device();
	if (!device) {
		return;
	}
	if (!subscription) {
		const { public_key: applicationServerKey } = await (await fetch("/api/v1/vapid")).json();
		subscription = await self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
	}
	await fetch(`/api/v1/devices/${device.id}`, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ subscription }) });
}
