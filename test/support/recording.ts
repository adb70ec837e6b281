/**
 * What both sides of a TCP connection say, as a third one hears it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

export interface Recording {
  readonly port: number
  /** What each side has said in the last connection that was made. */
  readonly said: () => { readonly client: Uint8Array; readonly server: Uint8Array }
}

/** Listens on a free port, and passes on what is said to a server and what it answers. */
export const recording = (
  to: { readonly host: string; readonly port: number }
): Effect.Effect<Recording, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Recording & { readonly close: () => void }>((resume) => {
      const sockets = new Set<Net.Socket>()
      const nothing = (): Record<"client" | "server", Array<Uint8Array>> => ({ client: [], server: [] })
      let heard = nothing()
      const proxy = Net.createServer((client) => {
        const server = Net.connect(to)
        const here = heard = nothing()
        for (const [from, into, name] of [[client, server, "client"], [server, client, "server"]] as const) {
          sockets.add(from)
          from.on("data", (chunk) => {
            here[name].push(chunk)
            into.write(chunk)
          })
          from.on("end", () => into.end())
          from.on("error", () => into.destroy())
        }
      })
      proxy.listen(0, "127.0.0.1", () => {
        const address = proxy.address()
        if (address === null || typeof address === "string") throw new Error("it listens on a port")
        resume(Effect.succeed({
          port: address.port,
          said: () => ({ client: Buffer.concat(heard.client), server: Buffer.concat(heard.server) }),
          close: () => {
            proxy.close()
            for (const socket of sockets) socket.destroy()
          }
        }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )
