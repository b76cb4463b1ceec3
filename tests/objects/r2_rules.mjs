// Puts objects together from parts of the sizes that it is told, in Cloudflare's own R2 as miniflare runs it.
//
//     node r2_rules.mjs FOLDER_OF_MINIFLARE <LISTS
//
// Each line is what R2 has to say, `accepted` or the number of its error, and the sizes of the parts in order.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const { Miniflare } = createRequire(resolve(process.argv[2], "package.json"))("miniflare");
// `cf: false`: it asks nobody on the network where it is.
const miniflare = new Miniflare({ modules: true, script: "export default {}", r2Buckets: ["R2"], host: "127.0.0.1", cf: false });

/** What R2 says of parts of these sizes. */
async function put(bucket, name, sizes) {
  const upload = await bucket.createMultipartUpload(name);
  try {
    const parts = [];
    for (const size of sizes) parts.push(await upload.uploadPart(parts.length + 1, new Uint8Array(size)));
    const object = await upload.complete(parts);
    const whole = sizes.reduce((sum, size) => sum + size, 0);
    await bucket.delete(name);
    return object.size === whole ? "accepted" : `an object of ${object.size} bytes instead of ${whole}`;
  } catch (error) {
    return /\((\d+)\)$/.exec(error.message)?.[1] ?? error.message;
  }
}

let failed = 0;
try {
  const bucket = await miniflare.getR2Bucket("R2");
  for (const line of readFileSync(0, "utf8").trim().split("\n")) {
    const [expected, ...sizes] = line.split(" ");
    const said = await put(bucket, "object", sizes.map(Number));
    if (said !== expected) failed += 1;
    const shown = sizes.length > 4 ? [...sizes.slice(0, 2), "...", ...sizes.slice(-2)] : sizes;
    console.log(`${said === expected ? "" : `FAILED: not ${expected}: `}${said}: ${sizes.length} parts, ${shown.join(" ")}`);
  }
} finally {
  await miniflare.dispose();
}
process.exitCode = failed === 0 ? 0 : 1;
