"""What to do about a refusal: chosen by who answered and by the code it gave, and only then by the status.

The same 403 is a missing permission from the API, a policy from the sign-in, and a firewall from the storage. Codes
are Microsoft's: of Entra's sign-in (AADSTS and a number), of Azure Storage, of Graph and of Partner Center. They come
in any letter case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from counterfoil.client.protocol.messages import NOT_THE_SOURCE, PROXY_SIGN_IN, Answerer
from counterfoil.wire.microsoft_ids import PERMISSION

MFA_CODE: Final = "900421"
_WITHOUT_MFA: Final = (
    " person's token must come from a sign-in with multi-factor authentication. Sign in again with it, or use an "
    "application's own token (client_id and client_secret_env), which needs none."
)
NO_MFA: Final = f"Code {MFA_CODE}: a{_WITHOUT_MFA}"
_LATER: Final = "Trying again later is safe."
_ENTRA_CODE: Final = re.compile(r"AADSTS(\d{2,9})", re.IGNORECASE)
_POLICY: Final = (
    "A Conditional Access policy of the tenant keeps this out: its administrator finds which one in the sign-in log, "
    "and can let the application or this network through."
)
_PERSON: Final = "The person's account cannot sign in: ask the tenant's administrator, or use an application's own."
_WRONG_SECRET: Final = "The secret is wrong: take the secret's value (not its id) and put it where the profile says."  # noqa: S105
_CONSENT: Final = (
    "Nobody consented: an administrator has to press Grant admin consent on the application's permissions."
)
_SCOPE: Final = "The tenant does not know this scope: check `url` and `scope` of the profile, and the admin consent."
_APPLICATION: Final = (
    "The tenant does not know this application: check `client_id` and `tenant`, and the admin consent."
)
_TENANT: Final = "There is no such tenant: `tenant` of the profile is the partner's tenant id, a GUID."
_CERTIFICATE: Final = "Check that the certificate is registered with the application, and this machine's clock."
_SIGN_IN_AGAIN: Final = "That sign-in is no longer good: sign in again."
_RENEW: Final = "The token is missing, expired or for another audience: get a new one and try again."
_PERMISSION: Final = f"The application or user lacks the permission {PERMISSION}, or consent to it."
_DISABLED: Final = "The tenant or its subscription is disabled: its administrator has to enable it."
_LINK: Final = "The signed link is no longer good, or this machine's clock is wrong: pull again, which gets new links."
_NETWORK: Final = (
    "The storage's firewall does not let this network in: pull from a network that it allows, or have this one's "
    "address allowed."
)
_ACCOUNT: Final = (
    "The storage account is disabled, most often with its subscription: whoever runs the source has to enable it."
)
_RIGHTS: Final = "The signed link allows other things than reading: whoever runs the source has to mend that."
_GONE: Final = "The blob is not there any more: pull again, which makes a new export."
_KEY: Final = "The storage cannot use its encryption key: whoever runs the source has to mend that in its key vault."
_GATEWAY: Final = f"A gateway on the way answers, and does not reach the source. {_LATER}"


def _alike(advice: str, *codes: str) -> dict[str, str]:
    return dict.fromkeys(codes, advice)


BY_CODE: Final[Mapping[Answerer, Mapping[str, str]]] = {
    Answerer.SIGN_IN: {
        **_alike(f"A{_WITHOUT_MFA}", "50072", "50074", "50076", "50079", "50158", "interaction_required"),
        **_alike(_POLICY, "50131", "53000", "53001", "53002", "53003", "53004", "53011", "530003", "530035"),
        **_alike(_PERSON, "50020", "50034", "50053", "50055", "50057", "50126", "500571"),
        "50105": "Whoever signs in must be assigned to the application, under Enterprise applications of the tenant.",
        **_alike(_CONSENT, "65001", "65004", "90094", "consent_required"),
        **_alike(_WRONG_SECRET, "70002", "7000215"),
        **_alike(_SCOPE, "50001", "65005", "70011", "500011", "invalid_scope"),
        "500014": "The tenant has disabled the API that the scope names: an administrator has to enable it.",
        **_alike(_APPLICATION, "70001", "700016", "7000229"),
        **_alike(_TENANT, "50059", "90002", "90019", "5000224"),
        "900023": "`tenant` of the profile is not a tenant id: that is a GUID.",
        "50194": "The application belongs to one tenant: write that one's id as `tenant` of the profile.",
        **_alike(_CERTIFICATE, "700024", "700027"),
        **_alike(_SIGN_IN_AGAIN, "50173", "70008", "70043", "700082"),
        "7000112": "The application is disabled: an administrator of the tenant can enable it, under Enterprise "
        "applications, Properties, Enabled for users to sign in.",
        "7000218": "The application is registered as a public client: it needs a client secret.",
        "7000222": "The secret has expired: make a new one under Certificates & secrets.",
        **_alike(_LATER, "90033", "90055", "temporarily_unavailable", "server_error", "slow_down"),
        "invalid_client": "The sign-in does not know the application and its secret: check `client_id` and the secret.",
        "unauthorized_client": "The tenant does not let this application sign in: check `client_id` and `tenant`.",
    },
    Answerer.STORAGE: {
        **_alike(_NETWORK, "authorizationfailure", "authorizationsourceipmismatch"),
        **_alike(_LINK, "authenticationfailed", "invalidauthenticationinfo", "noauthenticationinformation"),
        **_alike(_RIGHTS, "authorizationpermissionmismatch", "authorizationresourcetypemismatch"),
        **_alike(_RIGHTS, "authorizationservicemismatch", "insufficientaccountpermissions"),
        "authorizationprotocolmismatch": "The signed link is for https only, and something on the way uses http.",
        "publicaccessnotpermitted": "The link is not signed, and the storage lets nobody in without: pull again.",
        **_alike(_ACCOUNT, "accountisdisabled", "accountbeingdeleted"),
        **_alike(_GONE, "blobnotfound", "containernotfound", "resourcenotfound", "containerbeingdeleted"),
        "blobarchived": "The blob was moved to the archive: pull again, which makes a new export.",
        **_alike(_KEY, "keyvaultencryptionkeynotfound", "keyvaultaccesstokencannotbeacquired"),
        **_alike(_LATER, "serverbusy", "operationtimedout", "internalerror", "accountbeingcreated"),
    },
    Answerer.API: {
        MFA_CODE: NO_MFA,
        **_alike(_RENEW, "authentication_expiredtoken", "unauthenticated"),
        **_alike(_PERMISSION, "authorization_requestdenied"),
        "authorization_identitynotfound": "The token's tenant does not know this application or user: check `tenant`.",
        **_alike(_LATER, "toomanyrequests", "activitylimitreached", "serviceunavailable"),
    },
}
# What a message says where the code is a general one, or another one each time. The first that is found counts.
_BY_MESSAGE: Final[Mapping[Answerer, Mapping[str, str]]] = {
    Answerer.SIGN_IN: {r"conditional access": _POLICY},
    Answerer.API: {
        r"\bmfa\b|multi-?factor": f"A{_WITHOUT_MFA}",
        r"conditional access": _POLICY,
        r"(subscription|tenant|directory)\b.*\bdisabled": _DISABLED,
        r"lifetime validation failed|token (is|has) expired": _RENEW,
    },
}
_BY_STATUS: Final[Mapping[Answerer, Mapping[int, str]]] = {
    Answerer.SIGN_IN: {
        400: "The sign-in rejects the request: check `tenant`, `client_id`, `scope` and the secret of the profile.",
        401: "The sign-in does not accept the application: check `client_id` and the secret of the profile.",
        403: "The sign-in does not let this application or network in: ask the administrator of the tenant.",
        404: "There is no sign-in at this address: check `authority` and `tenant` of the profile.",
    },
    Answerer.STORAGE: {
        401: _LINK,
        403: f"{_LINK} The firewall of a storage answers so too.",
        404: _GONE,
        409: f"The storage does not give the blob as it is now. {_LATER}",
        410: _GONE,
        412: "The blob is another one now: pull again.",
    },
    Answerer.API: {
        400: "The source rejects the request; repeating it unchanged does not help.",
        401: _RENEW,
        403: _PERMISSION,
        404: "Check the base URL and the API; the source may also have forgotten the operation.",
        410: "It has expired: pull again, which makes a new export.",
    },
    Answerer.BETWEEN: {
        407: PROXY_SIGN_IN,
        **dict.fromkeys((502, 503, 504), _GATEWAY),
        511: "This network wants a sign-in of its own first: open any page in a browser here, or use another network.",
    },
}


def advice_by_code(who: Answerer, code: str, message: str) -> str:
    """Return what to do about a code, '' for one that says nothing more; Entra's is in the message."""
    known = BY_CODE.get(who, {})
    found = _ENTRA_CODE.search(message) if who is Answerer.SIGN_IN else None
    if found is not None and found[1] in known:
        return known[found[1]]
    for pattern, advice in _BY_MESSAGE.get(who, {}).items():
        if code != MFA_CODE and re.search(pattern, message, re.IGNORECASE):
            return advice
    return known.get(code.strip().lower(), "")


def advice_by_status(who: Answerer, status: int, *, is_passing: bool) -> str:
    """Return what to do about a status; `is_passing`: whether it may be another one later."""
    if (text := _BY_STATUS[who].get(status)) is not None:
        return text
    if is_passing:
        return _LATER
    return NOT_THE_SOURCE if who is Answerer.BETWEEN else "Trying again is safe, but unlikely to help."
