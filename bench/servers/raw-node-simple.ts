/**
 * node:net as it is usually written at first: `setEncoding`, a string buffer, one write for each line, and no thought
 * given to back-pressure (linebench's check of that fails, which is known).
 */
import { type AddressInfo, createServer } from "node:net"

const handle = (line: string): string => line

const server = createServer({ noDelay: true }, (socket) => {
  let ready = false
  let buffer = ""
  socket.setEncoding("utf8")
  socket.on("error", () => socket.destroy())
  socket.on("data", (chunk: string) => {
    buffer += chunk
    const lines = buffer.split("\n")
    buffer = lines.pop()! // split gives at least one
    for (const line of lines) {
      if (ready) {
        socket.write(handle(line) + "\n")
      } else if (line === "You ready?") {
        ready = true
        socket.write("Bring it!\n")
      } else {
        socket.end("No! Go away!\n")
        return
      }
    }
  })
})
server.listen(Number(process.argv[2]), "127.0.0.1", () => {
  console.log(`listening ${(server.address() as AddressInfo).port}`) // it listens on TCP
})
