import { call } from "./api.js";

// changeWishes reads the wishes of an account or a device, calls change with them, and stores its
// result. If somebody has changed them meanwhile, it tries once more. It returns the stored wishes.
export async function changeWishes(path, change) {
	for (let last = false; ; last = true) {
		const { mutes, ...wishes } = await call("GET", path);
		try {
			return await call("PUT", path, { ...wishes, ...change(wishes) });
		} catch (problem) {
			if (problem.code !== "changed" || last) {
				throw problem;
			}
		}
	}
}

// wishesOf returns the path of the wishes of an account, wishesOfDevice that of a device.
export const wishesOf = (account) => `/accounts/${encodeURIComponent(account)}/wishes`;
export const wishesOfDevice = (device) => `/devices/${encodeURIComponent(device)}/wishes`;
