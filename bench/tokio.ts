/**
 * The same server in Rust, on tokio: with tokio-util as one would write it, and by hand. Shown where cargo and the crates are
 * there, as by Debian's librust-tokio-dev, librust-tokio-util-dev, librust-futures-dev; nothing else of the bench needs them.
 */
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, readdirSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Process from "./process.ts"
import type { Spec } from "./servers.ts"

const source = fileURLToPath(new URL("tokio", import.meta.url))
const folder = fileURLToPath(new URL("../.cache/bench/tokio", import.meta.url))
const binary = (name: string) => `${folder}/target/release/${name}`

export const specs: ReadonlyArray<Spec> = [
  { name: "tokio", what: "Rust: tokio-util, Framed with LinesCodec", command: [binary("tokio")] },
  { name: "tokio-hand", what: "Rust: tokio by hand, one write for each read", command: [binary("tokio-hand")] }
]

/** Where Debian puts the crates. */
const debian = "/usr/share/cargo/registry"

const isBuilt = () => {
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).map((file) => `${source}/${file}`)
  const newest = Math.max(...files.map((file) => statSync(file).mtimeMs))
  return specs.every(({ command: [path] }) => existsSync(path!) && statSync(path!).mtimeMs > newest)
}

/** Builds them where they are not; why that cannot be done, if it cannot. */
export const built: Effect.Effect<string | undefined> = Effect.suspend(() => {
  if (isBuilt()) return Effect.undefined
  if (spawnSync("cargo", ["--version"], { stdio: "ignore" }).status !== 0) {
    return Effect.succeed("tokio is left out, for there is no cargo here")
  }
  cpSync(source, folder, { recursive: true })
  const crates = existsSync(`${debian}`)
    ? [`source.crates-io.replace-with="debian"`, `source.debian.directory="${debian}"`].flatMap((
      said
    ) => ["--config", said])
    : []
  return Process.run(
    Process.loadCore,
    ["cargo", "build", "--quiet", "--release", "--offline", "--manifest-path", `${folder}/Cargo.toml`, ...crates],
    "5 minutes"
  ).pipe(
    Effect.match({
      onSuccess: () => undefined,
      onFailure: ({ message }) => `tokio is left out, for cargo does not build it: ${message.split("\n")[0]}`
    })
  )
})
