/**
 * The same server with `node:http2`.
 *
 * `node-http2.ts PORT`
 */
import * as Http2 from "node:http2"

const server = Http2.createServer()
server.on("sessionError", () => {})
server.on("stream", (stream) => {
  stream.on("error", () => stream.close())
  // Somebody has to take what comes.
  stream.resume().on("end", () => stream.respond({ ":status": 200 }, { endStream: true }))
})
server.listen(Number(process.argv[2]), "127.0.0.1", () => {
  const address = server.address()
  console.log(`listening ${typeof address === "object" ? address?.port : "?"}`)
})
