/**
 * The same server with pg-gateway, as its documentation has it.
 *
 * `pg-gateway.ts METHOD PORT`
 */
import { createServer, type Socket } from "node:net"
import * as Foreign from "./foreign.ts"
import * as Login from "./login.ts"

interface ScramData {
  readonly salt: string
  readonly iterations: number
  readonly storedKey: string
  readonly serverKey: string
}

interface Gateway {
  readonly createScramSha256Data: (password: string, iterations?: number) => ScramData | Promise<ScramData>
}

interface GatewayOfNode {
  readonly fromNodeSocket: (socket: Socket, options: {
    readonly auth:
      | { readonly method: "trust" }
      | { readonly method: "scram-sha-256"; readonly getScramSha256Data: () => Promise<ScramData> }
  }) => Promise<unknown>
}

const [method, port] = process.argv.slice(2)

const { createScramSha256Data } = await Foreign.load<Gateway>("pg-gateway")
const { fromNodeSocket } = await Foreign.load<GatewayOfNode>("pg-gateway/node")

const data = await createScramSha256Data(Login.password, Login.iterations)

const options = method === "trust"
  ? { auth: { method: "trust" } } as const
  : { auth: { method: "scram-sha-256", getScramSha256Data: async () => data } } as const

const server = createServer((socket) => {
  socket.on("error", () => socket.destroy())
  fromNodeSocket(socket, options).catch(() => socket.destroy())
}).listen(Number(port), "127.0.0.1", () => {
  const address = server.address()
  console.log(`listening ${typeof address === "object" ? address?.port : "?"}`)
})
