package protocol

// The gateway: every web node carries it, for browsers that can load the page
// and reach nothing else of the system. A native client has the HTTP tunnel.
//
// The gateway leads to the system's own servers only, which it knows from the
// bus, and only for the bearer of a join token. Package.Gateway is PathGateway.
const (
	PathGateway = "/gateway/v1"
	// PathGatewayProbe: GET ?controller=URL is phase 2 (PathProbe) at the
	// controller with that Controller.URL.
	PathGatewayProbe = PathGateway + "/probe"
	// PathGatewayJoin: POST ?controller=URL is phase 3 (PathJoin) there. The
	// answer's ControlURL leads through the gateway, its TURN to the web node.
	PathGatewayJoin = PathGateway + "/join"
	// PathGatewayControl: a WebSocket, ?to=URL, which is the control channel
	// at the router with that address. Clients find it in JoinAnswer.ControlURL.
	PathGatewayControl = PathGateway + "/control"
)
