/**
 * The least that lets somebody in: it looks at no more than the lengths of what comes, and answers with bytes that are there
 * already. For `trust` alone; nobody would take it, and nothing on `node:net` is faster.
 *
 * `raw-postgres.ts trust PORT`
 */
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import * as Codec from "../../src/Codec.ts"
import * as Postgres from "../../src/protocols/Postgres.ts"

const welcome = Codec.encodeAll(Postgres.backendMessages(), [
  { _tag: "AuthenticationOk" },
  { _tag: "ParameterStatus", name: "server_version", value: "18.0" },
  { _tag: "ParameterStatus", name: "client_encoding", value: "UTF8" },
  { _tag: "BackendKeyData", processId: 1, secretKey: Redacted.make(new Uint8Array(4)) },
  { _tag: "ReadyForQuery", status: "idle" }
])

const server = Net.createServer((socket) => {
  let unread: Buffer = Buffer.alloc(0)
  let hasBegun = false
  socket.on("data", (chunk: Buffer) => {
    unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk])
    if (!hasBegun && unread.length >= 4 && unread.length >= unread.readUInt32BE(0)) {
      unread = unread.subarray(unread.readUInt32BE(0))
      hasBegun = true
      socket.write(welcome)
    }
    // Terminate
    if (hasBegun && unread.length > 0 && unread[0] === 0x58) socket.end()
  }).on("error", () => socket.destroy())
}).listen(Number(process.argv[3]), "127.0.0.1", () => {
  const address = server.address()
  console.log(`listening ${typeof address === "object" ? address?.port : "?"}`)
})
