"""Services that hand out keys, by the names that people give to variables: `WALMART_KEY` holds one."""

from __future__ import annotations

_NAMES = """
1password ably abstractapi abuseipdb abyssale accuweather adafruit adafruitio adobe adobeio adyen adzuna
aerisweather aeroworkflow affirm aftership agora agoraio ai21 ai71 aikido airbrake airbyte airship
airtable airvisual aiven akamai alchemy alconost alegra algolia alibaba alibabacloud alienvault aliyun
allsports alphavantage amadeus amazon ambee amplitude anthropic anypoint anyscale apacta apideck apiflash
apifonica apify apilayer apimatic apitemplate apollo appcenter appcues appdynamics appfollow appointedd
appoptics appsflyer apptivo appveyor arcjet artifactory artsy asaas asana assemblyai atera atlassian
auth0 authress autodesk autoklose avalara avaza aviationstack aws axiom axonaut aylien ayrshare azure
azureapim azuremaps azureopenai azuresearch azurespeech azuretranslator backblaze bannerbear baremetrics
baseten basistheory beamer beebole besnappy besttime betterstack bigcommerce billomat binance bitbar
bitbucket bitcoinaverage bitfinex bitgo bitly bitmex bitrise bittrex bitwarden blazemeter blitapp
blocknative blynk bombbomb boostnote borgbase braintree brandfetch brave brevo brightlocal browserbase
browserstack browseruse browshot bscscan buddyns budibase bugherd bugsnag builderio buildkite bulksms
bunny buttercms bybit calcom calendarific calendly callrail campayn cannyio canva capsulecrm captaindata
captchame carboninterface carto caspio censys centralstationcrm cerebras cexio chargebee chargify
chartmogul chatfule checkly checkmarket checkr checkvist cicero cielo circleci clarifai clearbit clerk
clickhelp clickhouse clicksend clickup cliengo clinchpad clockify clockworksms clojars closecrm cloudant
cloudconvert cloudelements cloudflare cloudimage cloudinary cloudmersive cloudplan cloudsight cloudsmith
cloudways cloverly cloze clustdoc cockroachlabs coda codacy codeclimate codecov codemagic codequiry
coderabbit cohere coinapi coinbase coingecko coinlayer coinlib coinmarketcap cometchat commercejs
composio configcat confluent contentful contentstack conversiontools convertapi convertkit copyscape
couchbase countrylayer coveralls coze craftmypdf createsend crossbrowsertesting crossmint crowdin
crowdstrike cryptocompare currencycloud currencyfreaks currencylayer currencyscoop currentsapi
customerguru customerio cypress d7network dailyco dareboost databento databox databricks datadog datafire
datagov datarobot datastax deepai deepgram deepl deepseek delighted demio denopat deputy detectify
detectlanguage devcycle deviantart dfuse diffbot diggernaut digitalocean discord disqus distribusion
dnscheck docker dockerhub docparser documo docusign doppler dotmailer dovico dronahq droneci dropbox
dryrunsecurity duffel duplocloud duply dwolla dynadot dynalist dynatrace dyspatch e2b easyinsight
easypost ebay ecostruxureit edamam edenai edusign eightxeight elasticemail elasticpath elasticsearch
elevenlabs eloqua emailoctopus enablex endorlabs eodhd equinix etherscan ethplorer etsy eventbrite
everhour eversign exa exchangerateapi exchangeratesapi exoscale exportsdk extractorapi facebook
faceplusplus fakejson falai fastforex fastly fastspring fedex feedier feedly fetchrss fibery figma fileio
filestack finage financialmodelingprep finicity finnhub firebase firecrawl fireworks fivetran fixerio
flagsmith flatio fleetbase flickr flightapi flightlabs flightstats flowdash flowdock flowflu flutterwave
flyio fmfw fmp forestadmin formbucket formcraft formio formsite formstack foursquare frameio freemius
freshbooks freshdesk freshservice friendli fullcontact fullstory fusebill fxmarket gcnotify gcp
geckoboard gemfury gemini gemstash gengo geoapify geocodify geocodio geoipifi getemail getemails
getgeoapi getgist getresponse ghost giphy gitalk gitea github gitlab gitter glassnode glitterlyapi
gocanvas gocardless godaddy goodday google goshippo gosquared grafana graphcms graphhopper greenhouse
greptile groovehq groq gtmetrix guardianapi guardsquare gumroad gusto gyazo hackclub happyscribe hcaptcha
heatmapapi hellosign helpcrunch helpscout hereapi heroku hetzner hexpm hibp hiveage holidayapi
honeybadger honeycomb hotjar hotwire html2pdf huawei hubspot huggingface hunterio hybiscus hypeauditor
hypertrack ibm iconfinder iexapis iexcloud imagekit imagga imgix imgur infisical influxdb infobip
infomaniak infracost infura inngest insightly instabot instagram integromat intercom interseller intra42
intrinio invoiceocean ipapi ipgeolocation ipify ipinfo ipinfodb ipquality ipstack jamf jenkins jfrog
jotform jsonbin jumpcloud jumpseller kagi kairos kakao kakaotalk kaleyra kaltura kanbantool karmacrm keen
keenio keygen kickbox kiteconnect klarna klaviyo klingai klipfolio knapsackpro kontent kraken kucoin
kylas lacework langchain langfuse langsmith languagelayer lastfm launchdarkly leadfeeder leankit lemlist
lemonsqueezy lendflow lexigram lichess linkedin linkpreview linode lithic litmus liveagent liveblocks
livekit livestorm llamacloud loadmill lob localstack locationiq logdna loggly loginradius logzio lokalise
looker loyverse lunchmoney luno macaddress madkudu magicbell mailboxlayer mailchimp mailerlite mailersend
mailgun mailjet mailmodo mailsac mandrill mapbox mappedin mapquest marketstack mastra mattermost
mavenlink maxmind meaningcloud mediastack meilisearch meistertask mem0 meraki mercadopago mergify mesibo
messagebird messari metaapi metrilo midtrans mindmeister minimax mintlify miro mistral mixcloud mixmax
mixpanel mockaroo mojohelpdesk mollie mongodb monkeylearn moonclerk moosend moralis mrticktock mux
myfreshworks myintervals nango nasdaqdatalink neo4j neon nessus netcore nethunt netlify netsuite
neutrinoapi newrelic newsapi newscatcher nexmo nftport ngrok nicehash nicereply nightfall notion novu
nozbe npm nubela nuget numverify nutritionix nvidia nxcloud nylas nytimes oanda octopusdeploy okta ollama
omnisend onbuka onedesk onelogin onepagecrm onesignal onfido onwaterio oopspam openai opencage
opencagedata opendatasoft opengraphr openrouter openuv openvsx openweather openweathermap opsgenie
optimizely ovh owlbot packagecloud packagist paddle pagerduty pandadoc pandascore pangea paperform
papertrail paralleldots parsehub parseur partnerize partnerstack passbase pastebin paydirtapp paymoapp
paymongo paypal paystack pdflayer pdfmyurl pdfshift pendo peopledatalabs pepipost perplexity pexels
phpmailer pinata pinecone pingdom pingidentity pingone pinterest pipedream pipedrive pirsch
pivotaltracker pixabay plaid planetscale planyo plivo podio pollinations poloniex polymarket portainer
positionstack postageapp postbacks posthog postman postmark powrbot printful privateai processst prodpad
proxycrawl pulumi purestake pushbullet pusher pushover pypi qase qualaroo quandl quickbase quickbooks
quickmetrics quicknode rainforestpay rapidapi rawg razorpay razorpayx reachmail readme
reallysimplesystems rebrandly recaptcha rechargepayments recurly redbooth reddit redirectpizza refiner
rentman repairshopr replicate resend restpack retellai revampcrm ringcentral riot ritekit robinhood
rocketreach rockset rollbar rootly route4me rubygems runpod saladcloud salesblink salescookie salesflare
salesforce salesloft salesmate samsara satismeter sauce saucelabs scaleway scalingo scalr scrapeowl
scraperapi scraperbox scrapestack scrapfly scrapingant scrapingbee scrapingdog screenshotapi
screenshotlayer securitytrails selectpdf sellfy semrush sendbird sendgrid sendinblue sendoso sentry
serpapi serper serphouse serpstack settlemint sheety sherpadesk shipday shippo shodan shopee shopify
shotstack shutterstock signable signalwire signaturit signifyd signupgenius sigopt siliconflow simfin
simplesat simplybook simplynoted simvoly sinch sirv siteleaf skrappio skybiometry skyscanner slack
smartsheet smartystreets smooch smsapi snipcart snowflake snowplow snyk sonar sonarcloud sonarqube
sourcegraph sparkpost speechtextai splunk spoonacular sportmonks sportradar sportsmonk spotify sqreen
squarespace squareup sslmate stabilityai stackhawk statsig statuscake statuspage statuspal stockdata
storecove stormboard stormglass storyblok storychief strava stripe stytch sumologic supabase supernotes
supportbee surveyanyplace surveybot surveymonkey surveysparrow survicate svix swiftype tableau tailscale
tallyfy tatum tavily tavus taxjar teamcity teamgate teamviewer teamwork technicalanalysisapi telegram
telesign teletype telnyx tencent testingbot testkube text2data textmagic thingsboard thinkific
thousandeyes thunderstore thycotic ticketmaster tickettailor tigris tiingo tiktok timecamp timekit
timezoneapi tinybird tmetric todoist togetherai toggl tokeet tolgee tomorrowio tomtom tradier
transferwise travelpayouts travis travisci trello trendmicro triggerdev truenas turso twelvedata twilio
twitch twitter tyntec typeform typetalk uber ubidots uclassify unifyid unkey unplugg unsplash upcdatabase
upcloud uplead uploadcare upstage upstash uptimerobot urlscan userflow userstack vapi vastai vatlayer
vbout vercel verimail veriphone viewneo vimeo virustotal visualcrossing vkontakte vmware voiceflow
voicegain volcengine vonage voodoosms vouchery voyage voyageai vpnapi vultr vyte wakatime walkscore
walmart wandb warpstream weatherapi weatherbit weatherstack weaviate webengage webex webflow webscraper
webscraping websitepulse wechat wepay whoxy wistia wix wiz woocommerce woopra wordsapi workato workos
worksnaps workstack worldcoinindex worldweather wpengine wrike xai xata xendit xero yahoo yandex yelp
ynab yousign youtube zai zapier zendesk zenkit zenrows zenscrape zenserp zeplin zerobounce zerotier zhipu
zillow zipapi zipbooks zipcodeapi zipcodebase zoho zonkafeedback zoom zulip zuplo
"""
NAMES = frozenset(_NAMES.split())
"""In lower case, without separators. Only what hardly means anything else before `key`: `branch_key` and
`segment_key` count as anybody's key."""
